import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.text.ParseException;
import java.time.Instant;

/**
 * Check ISSUER AUDIENCE JWKS: says {@code ok USER} or {@code refused REASON} for each line of standard input, a header's value.
 * A line {@code @SECONDS} sets the clock for the lines after it.
 */
public final class Check {
    private static Instant now;

    public static void main(String[] arguments) throws IOException, ParseException {
        var verifier = new SamlgateAssertion(arguments[0], arguments[1], arguments[2], () -> now == null ? Instant.now() : now);
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (line.startsWith("@")) {
                now = Instant.ofEpochSecond(Long.parseLong(line.substring(1)));
                continue;
            }
            try {
                System.out.println("ok " + verifier.verify(line).getStringClaim("user"));
            } catch (SamlgateAssertion.Refused reason) {
                System.out.println("refused " + reason.getMessage());
            }
        }
    }
}
