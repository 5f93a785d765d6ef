package cli_test

import (
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-ca/signet/internal/testca"
)

// fakeCloud puts the machine of a script into all clouds at once: a metadata service where
// the commands look for one, in CLOUD the address where its keys are, in IIDROOTS the file
// of the certificate that verifies its identity documents.
func fakeCloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: cloud")
	}
	cloud, err := testca.MakeCloud(ts.MkAbs("."))
	ts.Check(err)
	ts.Defer(cloud.Close)
	ts.Setenv("CLOUD", cloud.URL)
	ts.Setenv("SIGNET_METADATA_URL", cloud.URL)
	ts.Setenv("IIDROOTS", cloud.RootsFile)
}
