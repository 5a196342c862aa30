"""Ten corruptions of images at five strengths, and the errors that they cause."""
