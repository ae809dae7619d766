"""majority-vote: the key of an answer, the count of votes, and the rule that decides."""
