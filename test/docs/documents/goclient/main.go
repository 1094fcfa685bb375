// Command goclient calls a platform with the client that oapi-codegen makes of the document: it creates a user, reads, changes, lists and
// deletes it, and reads errors. It ends with status 1 at the first answer that is not the one.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	// What the generated code imports, so that go.mod has it.
	_ "github.com/oapi-codegen/runtime"
)

func main() {
	if err := run(context.Background(), os.Getenv("DOMICILE_URL"), os.Getenv("DOMICILE_KEY")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, key string) error {
	client, err := NewClientWithResponses(url, WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
	if err != nil {
		return err
	}
	user, err := create(ctx, client)
	if err != nil {
		return fmt.Errorf("creating a user: %w", err)
	}
	if err := change(ctx, client, user); err != nil {
		return fmt.Errorf("changing the user: %w", err)
	}
	if err := list(ctx, client, *user.Id); err != nil {
		return fmt.Errorf("listing users: %w", err)
	}
	if err := remove(ctx, client, *user.Id); err != nil {
		return fmt.Errorf("deleting the user: %w", err)
	}
	return refused(ctx, client)
}

func create(ctx context.Context, client *ClientWithResponses) (*DomicileProfileV1User, error) {
	idempotency := "goclient"
	body := DomicileProfileV1User{GivenName: "Ada", FamilyName: "Lovelace", Email: "goclient@example.com", Locale: "en-GB"}
	var made *DomicileProfileV1User
	for range 2 {
		answer, err := client.CreateUserWithResponse(ctx, &CreateUserParams{IdempotencyKey: &idempotency}, body)
		if err != nil {
			return nil, err
		}
		switch {
		case answer.JSON200 == nil || answer.JSON200.Id == nil || answer.JSON200.CreateTime == nil:
			return nil, unexpected(answer.HTTPResponse, answer.Body)
		case made != nil && (*made.Id != *answer.JSON200.Id || answer.HTTPResponse.Header.Get("Idempotency-Replayed") != "true"):
			return nil, errors.New("the repetition made another user")
		}
		made = answer.JSON200
	}
	return made, nil
}

func change(ctx context.Context, client *ClientWithResponses, user *DomicileProfileV1User) error {
	locale, mask := "fr-FR", "locale"
	body := DomicileProfileV1UpdateUserRequestUser{Locale: &locale, Etag: user.Etag}
	changed, err := client.UpdateUserWithResponse(ctx, *user.Id, &UpdateUserParams{UpdateMask: &mask}, body)
	if err != nil {
		return err
	}
	if changed.JSON200 == nil || changed.JSON200.Locale != locale || changed.JSON200.GivenName != "Ada" {
		return unexpected(changed.HTTPResponse, changed.Body)
	}
	again, err := client.UpdateUserWithResponse(ctx, *user.Id, &UpdateUserParams{UpdateMask: &mask}, body)
	if err != nil {
		return err
	}
	if again.JSON412 == nil || *again.JSON412.Details[0].Reason != "ETAG_MISMATCH" {
		return unexpected(again.HTTPResponse, again.Body)
	}
	got, err := client.GetUserWithResponse(ctx, *user.Id, nil)
	if err != nil {
		return err
	}
	if got.JSON200 == nil || got.JSON200.Locale != locale {
		return unexpected(got.HTTPResponse, got.Body)
	}
	return nil
}

func list(ctx context.Context, client *ClientWithResponses, id string) error {
	size := int32(100)
	page, err := client.ListUsersWithResponse(ctx, &ListUsersParams{PageSize: &size})
	if err != nil {
		return err
	}
	if page.JSON200 == nil || page.JSON200.Users == nil {
		return unexpected(page.HTTPResponse, page.Body)
	}
	for _, user := range *page.JSON200.Users {
		if *user.Id == id {
			return nil
		}
	}
	return errors.New("the user is not among them")
}

func remove(ctx context.Context, client *ClientWithResponses, id string) error {
	gone, err := client.DeleteUserWithResponse(ctx, id, nil)
	if err != nil {
		return err
	}
	if gone.JSON200 == nil {
		return unexpected(gone.HTTPResponse, gone.Body)
	}
	after, err := client.GetUserWithResponse(ctx, id, nil)
	if err != nil {
		return err
	}
	if after.JSON404 == nil || *after.JSON404.Details[0].Reason != "NOT_FOUND" {
		return unexpected(after.HTTPResponse, after.Body)
	}
	return nil
}

// refused sends what the document does not allow.
func refused(ctx context.Context, client *ClientWithResponses) error {
	answer, err := client.CreateUserWithResponse(ctx, nil, DomicileProfileV1User{GivenName: "Ada"})
	if err == nil {
		return unexpected(answer.HTTPResponse, answer.Body)
	}
	size := int32(5000)
	page, err := client.ListUsersWithResponse(ctx, &ListUsersParams{PageSize: &size})
	if err != nil {
		return err
	}
	if page.JSON400 == nil || *page.JSON400.Details[0].Reason != "INVALID_ARGUMENT" {
		return unexpected(page.HTTPResponse, page.Body)
	}
	return nil
}

func unexpected(answer *http.Response, body []byte) error {
	return fmt.Errorf("%s %s: %s %s", answer.Request.Method, answer.Request.URL, answer.Status, body)
}
