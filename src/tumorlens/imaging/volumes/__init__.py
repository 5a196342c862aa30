"""NIfTI, MGH and NRRD: files that hold a whole volume."""
