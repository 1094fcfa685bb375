package apidoctest

import (
	"errors"
	"net/mail"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofrs/uuid/v5"
)

// formats are the formats of strings that kin-openapi does not look at by itself.
func formats() []openapi3.SchemaValidationOption {
	return []openapi3.SchemaValidationOption{
		openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
			"email":     openapi3.NewCallbackValidator(email),
			"uuid":      openapi3.NewCallbackValidator(isUUID),
			"date-time": openapi3.NewCallbackValidator(dateTime),
		}),
	}
}

// email takes an address without a name, as HTML's input of that type does, which is what protovalidate means too.
func email(s string) error {
	address, err := mail.ParseAddress(s)
	if err != nil || address.Name != "" || address.Address != s || strings.ContainsAny(s, "<> ") {
		return errors.New("it is no e-mail address")
	}
	return nil
}

func isUUID(s string) error {
	if _, err := uuid.FromString(s); err != nil {
		return errors.New("it is no UUID")
	}
	return nil
}

// dateTime is RFC 3339, section 5.6.
func dateTime(s string) error {
	if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
		return errors.New("it is no time of RFC 3339")
	}
	return nil
}
