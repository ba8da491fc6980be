// Cold code of the library stays out of a small program's resident size: its mapping is one of its own, marked as read at
// random, and nothing of it was mapped by the faults of its neighbours.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *volatile block = malloc(100);
    free(block);
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f) return 2;
    char line[512];
    int ours = 0, found = 0;
    long size = 0, resident = 0;
    while (fgets(line, sizeof line, f)) {
        char permissions[8];
        if (sscanf(line, "%*x-%*x %4s", permissions) == 1)
            ours = !strcmp(permissions, "r-xp") && strstr(line, "libaethalloc.so") != NULL;
        sscanf(line, "Size: %ld", &size);
        sscanf(line, "Rss: %ld", &resident);
        if (ours && !strncmp(line, "VmFlags:", 8) && strstr(line, " rr ")) {
            printf("%ld KiB of cold code, %ld KiB resident\n", size, resident);
            found = size >= 16 && resident * 4 <= size;
        }
    }
    return found ? 0 : 1;
}
