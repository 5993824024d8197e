"""The REST API, the enrolment listener and the fleet console."""
