-- Tables, indices, joins and strings in memory. Prints deterministic rows.
create table customers(id integer primary key, name text, city text);
create table orders(id integer primary key, customer integer, amount integer, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000)
insert into customers select i, 'customer ' || i, 'city ' || (i * 7919 % 997) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000)
insert into orders select i, i * 7877 % 50000 + 1, i * 104729 % 10007, 'note ' || (i % 1000) || substr('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 1, i % 32) from n;
create index by_customer on orders(customer);
create index by_note on orders(note);
select city, count(*), sum(amount) from orders join customers on customers.id = customer group by city order by 3 desc, city limit 20;
select length(group_concat(note, ',')) from (select note from orders order by note, id);
update orders set note = upper(note) || amount where amount % 3 = 0;
select count(distinct note), max(note) from orders;
delete from orders where amount % 2 = 0;
select count(*), sum(amount) from orders;
