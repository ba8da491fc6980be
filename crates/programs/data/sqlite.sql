PRAGMA page_size = 4096;
PRAGMA cache_size = 200;
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, city TEXT, born INTEGER, data TEXT);
CREATE TABLE log(id INTEGER, what TEXT);
CREATE TRIGGER changed AFTER UPDATE ON person BEGIN INSERT INTO log VALUES(new.id, old.city || '>' || new.city); END;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < @ROWS@)
INSERT INTO person SELECT i, printf('name-%d-%s', i * 7919 % 10007, hex(i * 31)), 'city' || (i * 13 % 211), 1900 + i % 120,
  json_object('i', i, 'list', json_array(i % 3, i % 5, i % 7), 'text', printf('%.*c', i % 60, 'x')) FROM n;
COMMIT;
CREATE INDEX by_city ON person(city, born);
CREATE INDEX by_name ON person(name);
CREATE VIRTUAL TABLE words USING fts5(text);
INSERT INTO words SELECT name || ' ' || city FROM person WHERE id % 5 = 0;
UPDATE person SET city = 'town' || (id % 97) WHERE id % 11 = 0;
DELETE FROM person WHERE id % 13 = 0;
SELECT city, count(*), avg(born), max(name) FROM person GROUP BY city ORDER BY 2 DESC, 1 LIMIT 40;
SELECT a.city, count(*) FROM person a JOIN person b ON a.name = b.name AND a.id < b.id GROUP BY 1 ORDER BY 1 LIMIT 40;
SELECT sum(json_extract(data, '$.list[1]')), sum(length(json_extract(data, '$.text'))) FROM person;
SELECT count(*), sum(rowid) FROM words WHERE words MATCH 'city1* OR name';
SELECT id, sum(born) OVER (PARTITION BY city ORDER BY id ROWS 3 PRECEDING) FROM person ORDER BY 2 DESC, 1 LIMIT 40;
SELECT group_concat(what, ',') FROM (SELECT what FROM log ORDER BY id LIMIT 500);
VACUUM;
PRAGMA integrity_check;
