"""JPEG, PNG, TIFF and other plain images, read and written."""
