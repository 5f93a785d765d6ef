package signet

import (
	"context"
	"errors"
	"net/http"
)

// KeepsProvisioners asks whether the CA keeps its provisioners in its database, where
// administrators change them over the network, instead of in its configuration file.
func (c *Client) KeepsProvisioners(ctx context.Context) (bool, error) {
	err := c.call(ctx, http.MethodGet, "/admin/admins", nil, nil)
	if refused, ok := errors.AsType[*Error](err); ok {
		switch refused.Status {
		case http.StatusUnauthorized:
			return true, nil
		case http.StatusNotFound, http.StatusNotImplemented:
			return false, nil
		}
	}
	if err == nil {
		err = errors.New("the CA lists its administrators to strangers, which no CA of this kind does")
	}
	return false, err
}
