<?php
// check.php ISSUER AUDIENCE JWKS   says `ok USER` or `refused REASON` for each line of standard input, a header's value.
// A line `@SECONDS` sets the clock for the lines after it.
declare(strict_types=1);
require __DIR__ . '/samlgate_assertion.php';

$folder = sys_get_temp_dir() . '/samlgate-check-' . bin2hex(random_bytes(8));
mkdir($folder, 0700);
register_shutdown_function(function () use ($folder) {
    array_map(unlink(...), glob("$folder/*"));
    rmdir($folder);
});

$now = null;
$clock = function () use (&$now): int { return $now ?? time(); };
while (($line = fgets(STDIN)) !== false) {
    $line = preg_replace('/\n\z/', '', $line);
    if (str_starts_with($line, '@')) {
        $now = (int) substr($line, 1);
        continue;
    }
    try {
        // anew for each line, as for each request
        $verifier = new SamlgateAssertion($argv[1], $argv[2], $argv[3], "$folder/keys.json", $clock);
        echo "ok {$verifier->verify($line)['user']}\n";
    } catch (SamlgateRefused $reason) {
        echo 'refused ', $reason->getMessage(), "\n";
    }
}
