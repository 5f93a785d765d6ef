package cli

import (
	"context"

	"github.com/signet-ca/signet/internal/config"
)

func configSchema() *command {
	return &command{
		short: "print the JSON Schema of the server's configuration",
		long: `Prints a JSON Schema of ca.json, for editors that complete and check while one types. It describes
			exactly this version of the server.`,
		examples: []example{{"Give an editor the schema", "signet config schema > ca.schema.json"}},
		run: func(context.Context, *Env, []string) (any, error) {
			schema, err := config.Schema()
			return string(schema), err
		},
	}
}
