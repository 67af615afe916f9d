// go run . ISSUER AUDIENCE JWKS   says `ok USER` or `refused REASON` for each line of standard input, a header's value.
// A line `@SECONDS` sets the clock for the lines after it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: ISSUER AUDIENCE JWKS, tokens on standard input")
		os.Exit(64)
	}
	clock := time.Now
	verifier := Verifier{Issuer: os.Args[1], Audience: os.Args[2], Keys: os.Args[3], Clock: func() time.Time { return clock() }}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1024*1024)
	for lines.Scan() {
		line := lines.Text()
		if at, isClock := strings.CutPrefix(line, "@"); isClock {
			seconds, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(64)
			}
			clock = func() time.Time { return time.Unix(seconds, 0) }
			continue
		}
		if claims, err := verifier.Verify(line); err != nil {
			fmt.Println(strings.ReplaceAll(err.Error(), "refused: ", "refused "))
		} else {
			fmt.Println("ok", claims["user"])
		}
	}
}
