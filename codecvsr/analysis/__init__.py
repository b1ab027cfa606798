"""What a stream is made of, in numbers and pictures."""
