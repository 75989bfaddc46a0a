"""One module per figure of the paper, named by its number: it reads results and draws."""
