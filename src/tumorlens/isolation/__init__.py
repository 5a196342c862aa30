"""Work on untrusted bytes in separate processes, which may hang, grow or crash without harm."""
