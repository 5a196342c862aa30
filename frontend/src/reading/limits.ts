/** Bounds on what is read: `tumorlens/imaging/limits.py`. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024;
export const MAX_FILES = 20_000;
export const MAX_ARCHIVE_BYTES = 4 * 1024 ** 3;
/** That all members of an archive may unfold to. */
export const MAX_UNFOLDED_BYTES = 4 * 1024 ** 3;
