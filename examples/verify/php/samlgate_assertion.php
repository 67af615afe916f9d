<?php
// Verifies the assertion that samlgate sends in X-Samlgate-Assertion (docs/verify-assertion.md), with PHP's own openssl.
declare(strict_types=1);

/** The request has no good assertion: answer 401 and do nothing else. */
final class SamlgateRefused extends Exception {}

final class SamlgateAssertion
{
    // Three parts of unpadded base64url; the signature has 64 octets, in their only spelling.
    private const FORM = '/\A([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{85}[AQgw])\z/';
    private const LEEWAY = 5; // seconds that clocks may differ
    private const RETRY = 10; // seconds between two fetches of the keys
    private const REFRESH = 300; // seconds until they are fetched again
    private const KEEP = 3600; // seconds that they are good for without a fetch that worked
    // A P-256 point as a public key in DER, up to its coordinates (RFC 5480, 2).
    private const SPKI = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";

    /**
     * $jwks is the URL of samlgate's jwks.json, or a file. $cache is where the keys are kept between requests: a file in a folder
     * that only the application can write to, so not in /tmp.
     */
    public function __construct(
        private string $issuer,
        private string $audience,
        private string $jwks,
        private string $cache,
        private ?Closure $clock = null,
    ) {
        $this->clock ??= time(...);
    }

    /** The claims of the header's value, which is null when it is missing: $_SERVER['HTTP_X_SAMLGATE_ASSERTION'] ?? null. */
    public function verify(?string $token): array
    {
        if ($token === null || !preg_match(self::FORM, $token, $parts)) {
            throw new SamlgateRefused('no assertion, or not one');
        }
        [, $header, $payload, $signature] = $parts;
        $head = self::json($header);
        if (($head['alg'] ?? null) !== 'ES256' || array_key_exists('crit', $head)) {
            throw new SamlgateRefused('another algorithm, or an extension');
        }
        $key = $this->key($head['kid'] ?? null);
        if (openssl_verify("$header.$payload", self::der(self::decode($signature)), $key, OPENSSL_ALGO_SHA256) !== 1) {
            throw new SamlgateRefused('the signature is not good');
        }
        $claims = self::json($payload);
        if (($claims['iss'] ?? null) !== $this->issuer || ($claims['aud'] ?? null) !== $this->audience) {
            throw new SamlgateRefused('from another issuer, or for another audience');
        }
        [$now, $exp, $nbf] = [($this->clock)(), $claims['exp'] ?? null, $claims['nbf'] ?? null];
        if (!is_int($exp) || !is_int($nbf) || $now < $nbf - self::LEEWAY || $now >= $exp + self::LEEWAY) {
            throw new SamlgateRefused('expired or not yet valid');
        }
        foreach (['sub', 'user'] as $name) {
            if (!is_string($claims[$name] ?? null) || $claims[$name] === '') {
                throw new SamlgateRefused('no subject');
            }
        }
        return $claims;
    }

    /** The public key of that kid, in PEM. */
    private function key(mixed $kid): string
    {
        $now = ($this->clock)();
        $within = fn (?int $since, int $seconds): bool => $since !== null && $since <= $now && $now - $since < $seconds;
        $known = json_decode((string) @file_get_contents($this->cache), true) ?? ['keys' => [], 'fetched' => null, 'tried' => null];
        $has = fn (): bool => is_string($kid) && isset($known['keys'][$kid]);
        if ((!$has() || !$within($known['fetched'], self::REFRESH)) && !$within($known['tried'], self::RETRY)) {
            $keys = self::load($this->jwks); // null: what was fetched before is good for a while
            $known = ['keys' => $keys ?? $known['keys'], 'fetched' => $keys === null ? $known['fetched'] : $now, 'tried' => $now];
            $new = $this->cache . '.' . bin2hex(random_bytes(8));
            if (file_put_contents($new, json_encode($known)) === false || !rename($new, $this->cache)) {
                throw new SamlgateRefused('the keys can\'t be kept');
            }
        }
        if ($known['fetched'] === null || $now - $known['fetched'] > self::KEEP) {
            throw new SamlgateRefused('the keys can\'t be fetched');
        }
        return is_string($kid) && isset($known['keys'][$kid]) ? $known['keys'][$kid] : throw new SamlgateRefused('signed with an unknown key');
    }

    /** The P-256 keys of a key set, by kid, in PEM. */
    private static function load(string $source): ?array
    {
        $options = stream_context_create(['http' => ['timeout' => 3, 'follow_location' => 0]]);
        $set = json_decode((string) @file_get_contents($source, false, $options), true);
        if (!is_array($set['keys'] ?? null)) {
            return null;
        }
        $keys = [];
        foreach ($set['keys'] as $key) {
            if (($key['kty'] ?? null) === 'EC' && ($key['crv'] ?? null) === 'P-256' && is_string($key['kid'] ?? null)) {
                $der = self::SPKI . self::decode((string) ($key['x'] ?? '')) . self::decode((string) ($key['y'] ?? ''));
                $keys[$key['kid']] = "-----BEGIN PUBLIC KEY-----\n" . base64_encode($der) . "\n-----END PUBLIC KEY-----\n";
            }
        }
        return $keys;
    }

    /** A signature of two numbers of 32 octets (RFC 7518, 3.4) as openssl wants it: a sequence of two integers. */
    private static function der(string $raw): string
    {
        $integer = function (string $number): string {
            $number = ltrim($number, "\0");
            $number = $number === '' || ord($number[0]) > 127 ? "\0$number" : $number;
            return "\x02" . chr(strlen($number)) . $number;
        };
        $both = $integer(substr($raw, 0, 32)) . $integer(substr($raw, 32));
        return "\x30" . chr(strlen($both)) . $both;
    }

    private static function json(string $part): array
    {
        $value = json_decode(self::decode($part));
        return is_object($value) ? json_decode(self::decode($part), true) : throw new SamlgateRefused('not a token');
    }

    private static function decode(string $text): string
    {
        return (string) base64_decode(strtr($text, '-_', '+/'), true);
    }
}
