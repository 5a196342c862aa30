"""Ten ways in which an image may be worse, at five strengths, and what they do to the answers."""
