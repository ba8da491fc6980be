import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

/** Records, maps, streams, threads and native compression; prints one line per round. */
public class Work {
    record Item(int key, String name, List<Integer> list) {}

    static String round(int seed) throws Exception {
        Random random = new Random(seed);
        Map<Integer, Item> index = new HashMap<>();
        for (int i = 0; i < 20000; i++) {
            int key = random.nextInt(3000);
            index.merge(key, new Item(key, "n" + key, new ArrayList<>(List.of(i))), (a, b) -> {
                a.list().addAll(b.list());
                return a;
            });
            if (i % 9 == 0) index.remove(random.nextInt(3000));
        }
        String text = index.values().stream().sorted(Comparator.comparing(Item::name))
            .map(i -> i.name() + ":" + i.list().size()).collect(Collectors.joining(","));
        Deflater deflater = new Deflater();
        deflater.setInput(text.getBytes());
        deflater.finish();
        byte[] packed = new byte[text.length() + 100];
        int length = deflater.deflate(packed);
        deflater.end();
        Inflater inflater = new Inflater();
        inflater.setInput(packed, 0, length);
        byte[] back = new byte[text.length()];
        inflater.inflate(back);
        inflater.end();
        java.nio.ByteBuffer direct = java.nio.ByteBuffer.allocateDirect(1 << 16);
        direct.put(back, 0, Math.min(back.length, 1 << 16)).flip();
        CRC32 sum = new CRC32();
        sum.update(direct);
        return index.size() + " " + length + " " + Arrays.equals(back, text.getBytes()) + " " + sum.getValue();
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<String>> results = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(args[0]); i++) {
            int seed = i;
            results.add(pool.submit(() -> round(seed)));
        }
        for (Future<String> result : results) System.out.println(result.get());
        pool.shutdown();
    }
}
