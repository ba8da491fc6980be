/* Says whether it was started with more rights than its caller has. */
#include "check.h"
#include <sys/auxv.h>

int main(void) {
    free(hidden(malloc(100)));
    puts(getauxval(AT_SECURE) ? "more" : "usual");
    return 0;
}
