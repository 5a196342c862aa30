"""Ten ways in which a picture may be worse, at five strengths, and what they do to the answers."""
