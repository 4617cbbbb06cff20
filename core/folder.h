/*
 * core/folder.h - folders of haspan's own: --spool, --state. Any thread; nothing is kept.
 */
#ifndef CORE_FOLDER_H
#define CORE_FOLDER_H

#include <stdbool.h>

/*
 * Make `path` (mode 0700), and what is missing of the folders above it (0777 without the umask, as mkdir -p does).
 * True: it is there, also if it was before (whatever it is: who opens it sees). False: errno says why not.
 */
bool folder_make(const char *path);

/* Could folder_make make it, or is it there and may be written? Changes nothing. False: errno says why not. */
bool folder_could(const char *path);

#endif
