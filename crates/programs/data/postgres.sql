-- pgbench keeps these sums equal whatever the order of its transactions.
SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history),
       (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches),
       (SELECT count(*) FROM pgbench_history);
CREATE TABLE item AS SELECT i AS id, md5(i::text) AS name, i % 997 AS kind, repeat(chr(97 + i % 26), i % 90) AS text,
  jsonb_build_object('i', i, 'list', jsonb_build_array(i % 3, i % 5, md5((i * 7)::text))) AS data
  FROM generate_series(1, 150000) i;
CREATE INDEX ON item (name);
CREATE INDEX ON item USING gin (data);
ANALYZE item;
SELECT kind, count(*), max(name), sum(length(text)) FROM item GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 30;
SELECT count(*) FROM item a JOIN item b ON a.kind = b.id;
SELECT count(*) FROM item WHERE data @> '{"list": [1, 2]}';
SELECT md5(string_agg(name, ',' ORDER BY text, name)) FROM item WHERE id % 3 = 0;
SELECT id, rank() OVER (PARTITION BY kind ORDER BY name) FROM item WHERE kind = 5 ORDER BY 2, 1 LIMIT 20;
UPDATE item SET text = upper(text) || name WHERE id % 7 = 0;
DELETE FROM item WHERE id % 11 = 0;
VACUUM FULL item;
SELECT md5(string_agg(md5(t::text), '' ORDER BY id)) FROM item t;
DO $$ DECLARE s text := ''; n int := 0; BEGIN
  FOR i IN 1..20000 LOOP s := substr(s || md5(i::text), 1, 500); n := n + ascii(s); END LOOP;
  RAISE NOTICE '%', n; PERFORM set_config('my.n', n::text, false); END $$;
SELECT current_setting('my.n');
