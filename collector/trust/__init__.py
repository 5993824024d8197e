"""Who may speak: keys, certificates, enrolment, rotation, revocation, and machines that speak under one name."""
