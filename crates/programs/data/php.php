<?php
// Arrays, objects, regular expressions, JSON; $argv[1] rounds.
ini_set('memory_limit', '2G');
$state = 1;
function next_number(): int { global $state; $state = ($state * 1103515245 + 12345) % 2147483648; return $state >> 8; }
class Item { public function __construct(public string $name, public array $list = [], public ?Item $next = null) {} }
for ($round = 1; $round <= (int) $argv[1]; $round++) {
    $items = []; $last = null;
    for ($i = 0; $i < 40000; $i++) {
        $key = 'k' . next_number() % 4000;
        if (!isset($items[$key])) { $items[$key] = new Item($key, [], $last); $last = $items[$key]; }
        $items[$key]->list[] = str_repeat(chr(97 + $i % 26), next_number() % 40);
        if ($i % 11 === 0) unset($items['k' . next_number() % 4000]);
    }
    ksort($items);
    $json = json_encode(array_map(fn (Item $item) => $item->list, $items));
    $back = json_decode($json, true);
    $text = implode(',', array_map(fn ($list) => implode('', $list), $back));
    $changed = preg_replace_callback('/([a-m]+)([n-z]+)/', fn ($m) => strtoupper($m[2]) . $m[1], $text);
    usort($back, fn ($a, $b) => [count($b), implode('', $a)] <=> [count($a), implode('', $b)]);
    // Extensions in files of their own: strings, trees and rows cross their borders.
    $upper = mb_convert_case(mb_convert_encoding(substr($text, 0, 20000), 'UTF-16', 'UTF-8'), MB_CASE_TITLE, 'UTF-16');
    $tree = new DOMDocument();
    $root = $tree->appendChild($tree->createElement('items'));
    foreach (array_slice($items, 0, 300) as $item) {
        $node = $root->appendChild($tree->createElement('item', $item->list[0] ?? ''));
        $node->setAttribute('name', $item->name);
    }
    $again = simplexml_load_string($tree->saveXML());
    $found = (new DOMXPath($tree))->query('//item[string-length(.) > 10]')->length;
    $db = new PDO('sqlite::memory:');
    $db->exec('create table t (name text, n integer)');
    $insert = $db->prepare('insert into t values (?, ?)');
    $db->beginTransaction();
    foreach ($items as $item) $insert->execute([$item->name, count($item->list)]);
    $db->commit();
    $rows = $db->query("select n, count(*), group_concat(name, '-') from t group by n order by n")->fetchAll(PDO::FETCH_NUM);
    echo md5($upper), ' ', count($again->item), ' ', $found, ' ', md5(serialize($rows)), "\n";
    echo $round, ' ', count($items), ' ', md5($json), ' ', md5($changed), ' ', md5(serialize($back)), "\n";
}
