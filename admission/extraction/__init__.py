"""What the input formats share: decoding files, finding values, building indicators."""
