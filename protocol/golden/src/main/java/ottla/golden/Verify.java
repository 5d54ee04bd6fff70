package ottla.golden;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** Reads batches with Kafka and compares what it found with what their index says. */
final class Verify {
    private Verify() {}

    /** Whether every file in the folder holds what the index says, and the index leaves none out. */
    static boolean run(Path dir) throws IOException {
        if (!Files.exists(dir.resolve("index.txt"))) {
            System.err.println("no index.txt in " + dir);
            return false;
        }
        Map<String, List<String>> index = Index.parse(Files.readAllLines(dir.resolve("index.txt")));
        TreeSet<String> names = new TreeSet<>(index.keySet());
        try (DirectoryStream<Path> files = Files.newDirectoryStream(dir, "*.bin")) {
            files.forEach(file -> names.add(file.getFileName().toString()));
        }
        int failed = 0;
        for (String name : names) {
            String difference = difference(index.get(name), dir.resolve(name));
            if (difference != null) {
                System.err.println(name + ": " + difference);
                failed++;
            }
        }
        if (failed > 0 || names.isEmpty()) {
            System.err.println(failed + " of " + names.size() + " files differ");
            return false;
        }
        System.out.println(names.size() + " files verified");
        return true;
    }

    /** The first difference between the index and the file, or null if there is none. */
    private static String difference(List<String> expected, Path file) throws IOException {
        if (expected == null) {
            return "not in index.txt";
        }
        if (!Files.exists(file)) {
            return "in index.txt, but no such file";
        }
        List<String> found;
        try {
            found = Index.describe(Files.readAllBytes(file));
        } catch (RuntimeException e) {
            return "Kafka cannot read it: " + e;
        }
        for (int i = 0; i < Math.max(expected.size(), found.size()); i++) {
            String[] want = i < expected.size() ? expected.get(i).split(" ") : new String[0];
            String[] got = i < found.size() ? found.get(i).split(" ") : new String[0];
            int word = Arrays.mismatch(want, got);
            if (word >= 0) {
                return "line " + (i + 1) + " below its file line, word " + (word + 1)
                        + "\n  index " + excerpt(want, word) + "\n  kafka " + excerpt(got, word);
            }
        }
        return null;
    }

    /** What a line is about, and the word in question. */
    private static String excerpt(String[] words, int word) {
        if (words.length == 0) {
            return "(no such line)";
        }
        String about = String.join(" ", Arrays.copyOf(words, Math.min(2, words.length)));
        return about + " ... " + (word < words.length ? words[word] : "(no such word)");
    }
}
