"""What is peculiar to one product and too much for its connector's file: its forms, words and workflows."""
