package s3err

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	for i, r := range table {
		if i > 0 && table[i-1].code >= r.code {
			t.Errorf("%s comes after %s", r.code, table[i-1].code)
		}
		if got, ok := find(r.code); !ok || got != r {
			t.Errorf("%s is not found", r.code)
		}
		if r.message == "" || strings.TrimSpace(r.message) != r.message || strings.ContainsAny(r.message, "\n\t%") {
			t.Errorf("%s: message %q", r.code, r.message)
		}
		switch r.status {
		case 301, 304, 307, 400, 403, 404, 405, 406, 409, 411, 412, 415, 416, 500, 501, 503, 507:
		default:
			t.Errorf("%s: status %d", r.code, r.status)
		}
	}
	for _, absent := range []string{"", "A", "Zzz", "nosuchkey", "NoSuchKe", "NoSuchKeyy"} {
		if Known(absent) {
			t.Errorf("%q is known", absent)
		}
	}
}

// The codes and statuses that clients, SDKs and the public test suite rely on,
// written down apart from the table.
func TestStatuses(t *testing.T) {
	for status, codes := range map[int]string{
		304: "NotModified",
		400: `AccessControlListNotSupported AuthorizationHeaderMalformed AuthorizationQueryParametersError BadDigest
			EntityTooLarge EntityTooSmall ExpiredToken IllegalLocationConstraintException IncompleteBody
			InvalidArgument InvalidBucketAclWithObjectOwnership InvalidBucketName InvalidChunkSizeError
			InvalidDigest InvalidLocationConstraint InvalidPart InvalidPartOrder InvalidRequest
			InvalidRetentionPeriod InvalidStorageClass InvalidTag InvalidToken InvalidURI KeyTooLongError
			MalformedACLError MalformedPOSTRequest MalformedPolicy MalformedTrailerError MalformedXML
			MaxMessageLengthExceeded MaxPostPreDataLengthExceededError MetadataTooLarge MissingRequestBodyError
			MissingSecurityHeader RequestHeaderSectionTooLarge RequestTimeout TooManyBuckets UnexpectedContent
			UnresolvableGrantByEmailAddress UserKeyMustBeSpecified XAmzContentSHA256Mismatch`,
		403: "AccessDenied CrossLocationLoggingProhibited InvalidAccessKeyId InvalidObjectState RequestTimeTooSkewed SignatureDoesNotMatch",
		404: `NoSuchBucket NoSuchBucketPolicy NoSuchCORSConfiguration NoSuchKey NoSuchLifecycleConfiguration
			NoSuchObjectLockConfiguration NoSuchPublicAccessBlockConfiguration NoSuchTagSet NoSuchUpload NoSuchVersion
			ObjectLockConfigurationNotFoundError OwnershipControlsNotFoundError ReplicationConfigurationNotFoundError
			ServerSideEncryptionConfigurationNotFoundError`,
		405: "MethodNotAllowed",
		409: `BucketAlreadyExists BucketAlreadyOwnedByYou BucketNotEmpty ConditionalRequestConflict InvalidBucketState OperationAborted`,
		411: "MissingContentLength",
		412: "PreconditionFailed",
		416: "InvalidRange",
		500: "InternalError",
		501: "NotImplemented",
		503: "ServiceUnavailable SlowDown",
		507: "InsufficientStorage",
	} {
		for _, code := range strings.Fields(codes) {
			if e := New(code); e.Code != code || e.Status != status || e.Message == "" {
				t.Errorf("%s: %+v, want status %d", code, e, status)
			}
		}
	}
}

// Every code written in this module's source is in the table: arguments of New and
// Newf, and fields Code of error literals that come here by S3Code.
func TestEveryCodeInTheSourceIsKnown(t *testing.T) {
	seen := 0
	for _, dir := range []string{"../../s3api", "../../server"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err):
				return nil
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return nil // the compiler will say so
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if code, ok := codeIn(n, file.Name.Name); ok {
					seen++
					if !Known(code) {
						t.Errorf("%s: unknown code %q", path, code)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 20 {
		t.Errorf("only %d codes found: is the search broken?", seen)
	}
}

// codeIn gives the literal code of s3err.New("X"), New("X") here, or Error{Code: "X"}.
func codeIn(n ast.Node, pkg string) (string, bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		var name string
		switch fun := n.Fun.(type) {
		case *ast.SelectorExpr:
			if x, ok := fun.X.(*ast.Ident); ok && x.Name == "s3err" {
				name = fun.Sel.Name
			}
		case *ast.Ident:
			if pkg == "s3err" {
				name = fun.Name
			}
		}
		if (name == "New" || name == "Newf" || name == "Is") && len(n.Args) > 0 {
			arg := n.Args[0]
			if name == "Is" {
				arg = n.Args[len(n.Args)-1]
			}
			return literal(arg)
		}
	case *ast.CompositeLit:
		if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Error" {
			for _, el := range n.Elts {
				if kv, ok := el.(*ast.KeyValueExpr); ok {
					if k, ok := kv.Key.(*ast.Ident); ok && k.Name == "Code" {
						return literal(kv.Value)
					}
				}
			}
		}
	}
	return "", false
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
