"""What became of LeNet-5 after 1998; nothing here is in the paper."""
