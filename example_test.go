package signet_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/signet-ca/signet"
)

// A server that gets its certificate with a one-time token and keeps it fresh.
func Example() {
	ctx := context.Background()
	token := os.Getenv("TOKEN") // of `signet ca token web.internal`
	client, _, err := signet.BootstrapByToken(ctx, token, nil)
	if err != nil {
		log.Fatal(err)
	}
	request, key, err := signet.NewRequest(token)
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.Sign(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	renewer, err := signet.NewRenewer(client, answer.Pair(key), nil)
	if err != nil {
		log.Fatal(err)
	}
	go renewer.Run(ctx)
	server := &http.Server{Addr: ":8443", TLSConfig: renewer.ServerTLS(tls.VerifyClientCertIfGiven)}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

// A client that trusts a CA by the fingerprint of its root.
func ExampleBootstrap() {
	ctx := context.Background()
	client, root, err := signet.Bootstrap(ctx, "https://ca.example.com", "84a0...", nil)
	if err != nil {
		log.Fatal(err)
	}
	health, err := client.Health(ctx)
	fmt.Println(root.Subject, health, err)
}

// A client of a server with a certificate of the same CA, presenting its own.
func ExampleRenewer_HTTPClient() {
	var renewer *signet.Renewer // of NewRenewer
	answer, err := renewer.HTTPClient().Get("https://web.internal:8443/")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
}
