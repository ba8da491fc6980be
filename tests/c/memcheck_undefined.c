/* Decides by a value that was never written, in memory of the program's own: memcheck must say so. */
#include "check.h"

int main(void) {
    int unset[4]; /* never written */
    char *block = malloc(hidden_size(40));
    CHECK(block != NULL, "no block");
    if (((int *)hidden(unset))[2] == 7) puts("seven");
    free(block);
    return 0;
}
