package ottla.golden;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** The command line: {@code generate OUTDIR} or {@code verify DIR}. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        String command = args.length == 2 && !args[1].isEmpty() ? args[0] : "";
        if (command.equals("generate")) {
            Path dir = Path.of(args[1]);
            Messages.generate(emptied(dir.resolve("messages"), "*.txt"));
            Batches.generate(emptied(dir.resolve("batches"), "*.bin"));
        } else if (command.equals("verify")) {
            System.exit(Verify.run(Path.of(args[1])) ? 0 : 1);
        } else {
            System.err.println("usage: run generate [OUTDIR] | run verify DIR");
            System.exit(2);
        }
    }

    /** The folder, made if need be, without the files of an earlier run. */
    private static Path emptied(Path dir, String old) throws IOException {
        Files.createDirectories(dir);
        try (DirectoryStream<Path> files = Files.newDirectoryStream(dir, old)) {
            for (Path file : files) {
                Files.delete(file);
            }
        }
        return dir;
    }
}
