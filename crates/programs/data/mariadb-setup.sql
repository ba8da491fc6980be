create database work;
use work;
create table t (client int, id int, name varchar(100), body text, value int, primary key (client, id), key (value), fulltext (body));
create table l (a int, b int, key (a)) engine=aria;
delimiter //
create procedure load_rows(c int, n int)
begin
  declare i int default 0;
  while i < n do
    start transaction;
    insert into t values (c, i, concat('name', i * 7919 % 1009, '-', c), repeat(concat('word', i % 37, ' '), 1 + i % 60), i * 31 % 977);
    if i % 5 = 0 then update t set value = value + 1, body = concat(body, 'more') where client = c and id = i div 2; end if;
    if i % 11 = 0 then delete from t where client = c and id = i - 3; end if;
    insert into l values (c * 1000000 + i, i % 100);
    if i % 13 = 0 then rollback; else commit; end if;
    set i = i + 1;
  end while;
end //
delimiter ;
