"""What one transaction keeps."""
