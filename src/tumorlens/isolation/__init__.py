"""Work on untrusted bytes in processes of its own, which may hang, grow or die without harm."""
