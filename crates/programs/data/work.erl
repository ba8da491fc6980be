%% Processes that pass maps and binaries around; the first argument is the number of rounds.
-module(work).
-export([main/1]).

next(S) -> (S * 1103515245 + 12345) rem 2147483648.

worker(Parent) ->
    receive
        {job, Seed} -> Parent ! {result, Seed, job(Seed)}, worker(Parent);
        stop -> ok
    end.

job(Seed) ->
    {Map, _} = lists:foldl(
        fun(I, {M, S}) ->
            Key = <<"key", (integer_to_binary(S rem 997))/binary>>,
            Value = binary:copy(<<"abcdefg">>, S rem 50),
            M1 = maps:update_with(Key, fun(Old) -> [I | Old] end, [Value], M),
            {case I rem 7 of 0 -> maps:remove(Key, M1); _ -> M1 end, next(S)}
        end,
        {#{}, Seed},
        lists:seq(1, 4000)
    ),
    Binary = term_to_binary(lists:sort(maps:to_list(Map))),
    Back = lists:flatten(io_lib:format("~p", [length(binary_to_term(Binary))])),
    {Back, erlang:crc32(Binary), byte_size(Binary)}.

main(Rounds) ->
    Table = ets:new(table, [public, ordered_set]),
    lists:foreach(
        fun(Round) ->
            Self = self(),
            Workers = [spawn(fun() -> worker(Self) end) || _ <- lists:seq(1, 8)],
            lists:foreach(
                fun(N) -> lists:nth(N rem 8 + 1, Workers) ! {job, Round * 1000 + N} end, lists:seq(1, 40)
            ),
            lists:foreach(
                fun(_) -> receive {result, Seed, R} -> ets:insert(Table, {Seed, R}) end end, lists:seq(1, 40)
            ),
            [W ! stop || W <- Workers]
        end,
        lists:seq(1, Rounds)
    ),
    [io:format("~p ~p~n", [S, R]) || {S, R} <- ets:tab2list(Table)],
    halt().
