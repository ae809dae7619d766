"""majority-vote: what counts as the same answer, and who has won."""
