"""Charts as SVG: for tickets, findings and pages."""
