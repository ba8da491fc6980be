// Something for a compiler to chew on: containers, algorithms, templates.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct Table {
    std::map<std::string, std::vector<std::variant<int, double, std::string>>> rows;
    std::unordered_map<int, std::shared_ptr<Table<N - 1>>> next;
    int sum() const {
        int total = N;
        for (const auto &[name, cells] : rows)
            for (const auto &cell : cells)
                total += std::visit([](const auto &v) { return static_cast<int>(sizeof(v)); }, cell);
        for (const auto &[key, table] : next)
            total += key + table->sum();
        return total;
    }
};
template <> struct Table<0> {
    int sum() const { return 0; }
};

int main() {
    Table<24> table;
    table.rows["a"].push_back(1);
    std::regex word("([a-z]+)[0-9]*");
    std::set<std::string> seen;
    for (std::string s : {"abc1", "def22"})
        if (std::smatch m; std::regex_match(s, m, word))
            seen.insert(m[1]);
    std::vector<int> numbers(100);
    std::iota(numbers.begin(), numbers.end(), 0);
    std::stable_sort(numbers.begin(), numbers.end(), std::greater<>());
    std::cout << table.sum() + static_cast<int>(seen.size()) + numbers[3] << "\n";
}
