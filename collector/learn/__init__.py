"""What is learnt from the past of a fleet: models, their calibration, their cards. scikit-learn is imported here and nowhere else, and late."""
