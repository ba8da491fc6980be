// The C++ library allocates in a constructor that runs before the library's own: the reservation is as small as the option says all the same.
#include "check.h"
#include <string>
#include <unistd.h>

int main() {
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;
    CHECK(file && fscanf(file, "%zu", &pages) == 1, "no /proc/self/statm");
    fclose(file);
    std::string text(1000, 'x');
    CHECK(text.size() == 1000, "%zu", text.size());
    size_t gib = pages * (size_t)sysconf(_SC_PAGESIZE) >> 30;
    // 5 GiB, the page map's 2, and room for the program.
    CHECK(gib >= 6 && gib < 20, "%zu GiB of address space", gib);
}
