// C++ thread_local objects allocate when first used and free in their destructors.
#include "check.h"
#include <map>
#include <string>
#include <thread>
#include <vector>

struct Cache {
    std::map<int, std::string> texts;
    ~Cache() {
        texts[-1] = std::string(100000, 'z');
        CHECK(texts.size() == 1001, "%zu texts in the destructor", texts.size());
    }
};
static thread_local Cache cache;

int main() {
    for (int round = 0; round < 20; round++) {
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; t++)
            threads.emplace_back([] {
                for (int i = 0; i < 1000; i++) cache.texts[i] = std::string(static_cast<size_t>(i), 'x');
            });
        for (auto &thread : threads) thread.join();
    }
}
