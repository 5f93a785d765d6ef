// Command signet is an online certificate authority and the tool that talks to it. Under
// the names step and step-ca it behaves as those.
package main

import (
	"os"

	"github.com/signet-ca/signet/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
