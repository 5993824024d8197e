"""What people do in ticket systems, on its way back: asked for, called in, compared, journaled."""
