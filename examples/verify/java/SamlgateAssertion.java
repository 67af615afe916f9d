import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.crypto.ECDSAVerifier;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.ParseException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/** Verifies the assertion that samlgate sends in X-Samlgate-Assertion (docs/verify-assertion.md). One for the whole application. */
public final class SamlgateAssertion {
    /** The request has no good assertion: answer 401 and do nothing else. */
    public static final class Refused extends Exception {
        Refused(String reason) {
            super(reason);
        }
    }

    // Three parts of unpadded base64url; the signature has 64 octets, in their only spelling.
    private static final Pattern FORM = Pattern.compile("[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]{85}[AQgw]");
    private static final Duration LEEWAY = Duration.ofSeconds(5); // that clocks may differ
    private static final Duration RETRY = Duration.ofSeconds(10); // between two fetches of the keys
    private static final Duration REFRESH = Duration.ofMinutes(5); // until they are fetched again
    private static final Duration KEEP = Duration.ofHours(1); // that they are good for without a fetch that worked

    private final String issuer;
    private final String audience;
    private final String source;
    private final Supplier<Instant> clock;
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(3)).build();
    private JWKSet keys = new JWKSet();
    private Instant fetched = Instant.EPOCH;
    private Instant tried = Instant.EPOCH;

    /** {@code source} is the URL of samlgate's jwks.json, or a file; {@code clock} is {@code Instant::now} outside tests. */
    public SamlgateAssertion(String issuer, String audience, String source, Supplier<Instant> clock) {
        this.issuer = issuer;
        this.audience = audience;
        this.source = source;
        this.clock = clock;
    }

    /** The claims of the header's value, which is null when it is missing. */
    public JWTClaimsSet verify(String token) throws Refused {
        if (token == null || !FORM.matcher(token).matches()) {
            throw new Refused("no assertion, or not one");
        }
        try {
            SignedJWT jwt = SignedJWT.parse(token);
            if (!jwt.getHeader().getAlgorithm().equals(JWSAlgorithm.ES256) || jwt.getHeader().getCriticalParams() != null) {
                throw new Refused("another algorithm, or an extension");
            }
            if (!jwt.verify(new ECDSAVerifier(key(jwt.getHeader().getKeyID())))) {
                throw new Refused("the signature is not good");
            }
            JWTClaimsSet claims = jwt.getJWTClaimsSet();
            judge(claims);
            for (String name : List.of("sub", "user")) { // as they stand there: the library makes text of numbers
                if (!(jwt.getPayload().toJSONObject().get(name) instanceof String text) || text.isEmpty()) {
                    throw new Refused("no subject");
                }
            }
            return claims;
        } catch (ParseException | JOSEException | RuntimeException | StackOverflowError error) {
            throw new Refused("not a token of samlgate's");
        }
    }

    private void judge(JWTClaimsSet claims) throws Refused {
        if (!issuer.equals(claims.getIssuer()) || !List.of(audience).equals(claims.getAudience())) {
            throw new Refused("from another issuer, or for another audience");
        }
        if (claims.getExpirationTime() == null || claims.getNotBeforeTime() == null) {
            throw new Refused("without its times");
        }
        Instant now = clock.get();
        Instant from = claims.getNotBeforeTime().toInstant().minus(LEEWAY);
        Instant to = claims.getExpirationTime().toInstant().plus(LEEWAY);
        if (now.isBefore(from) || !now.isBefore(to)) {
            throw new Refused("expired or not yet valid");
        }
    }

    private synchronized ECKey key(String kid) throws Refused {
        Instant now = clock.get();
        boolean known = kid != null && keys.getKeyByKeyId(kid) != null;
        if ((!known || !within(fetched, now, REFRESH)) && !within(tried, now, RETRY)) {
            tried = now;
            try {
                keys = JWKSet.parse(read());
                fetched = now;
            } catch (IOException | ParseException | RuntimeException | StackOverflowError error) {
                // what was fetched before is good for a while
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }
        if (Duration.between(fetched, now).compareTo(KEEP) > 0) {
            throw new Refused("the keys can't be fetched");
        }
        JWK key = kid == null ? null : keys.getKeyByKeyId(kid);
        if (key instanceof ECKey ec && ec.getCurve().equals(Curve.P_256)) {
            return ec;
        }
        throw new Refused("signed with an unknown key");
    }

    private static boolean within(Instant since, Instant now, Duration most) {
        return !now.isBefore(since) && Duration.between(since, now).compareTo(most) < 0;
    }

    private String read() throws IOException, InterruptedException {
        if (!source.startsWith("http://") && !source.startsWith("https://")) {
            return Files.readString(Path.of(source));
        }
        var answer = client.send(HttpRequest.newBuilder(URI.create(source)).timeout(Duration.ofSeconds(3)).build(), BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("status " + answer.statusCode());
        }
        return answer.body();
    }
}
