package sim

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"ironman/wal/digest"
)

// Module is the simulated world, compiled: the production server and what surrounds
// it, built for wasip1 by sim/build.sh. Safe for concurrent use.
type Module struct {
	// Digest is the SHA-256 of the module's file, in hexadecimal. A run is repeated by
	// its seed and this: any change of the code may be another history.
	Digest string

	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	cache    wazero.CompilationCache
}

// ErrNoModule is the error of a module that was not built.
var ErrNoModule = errors.New("sim: there is no module: `make sim-build` builds it")

// Open compiles the module in the file name of fsys; what was compiled is kept in the
// directory cache, if it is not empty, for the next time.
func Open(ctx context.Context, fsys fs.FS, name, cache string) (*Module, error) {
	b, err := fs.ReadFile(fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w (%w)", ErrNoModule, err)
	case err != nil:
		return nil, fmt.Errorf("sim: %w", err)
	}
	sum := digest.SHA256(b)
	m := &Module{Digest: hex.EncodeToString(sum[:])}
	config := wazero.NewRuntimeConfigCompiler().WithDebugInfoEnabled(false).WithCloseOnContextDone(false)
	if cache != "" {
		if m.cache, err = wazero.NewCompilationCacheWithDir(cache); err != nil {
			return nil, fmt.Errorf("sim: the cache of compiled modules: %w", err)
		}
		config = config.WithCompilationCache(m.cache)
	}
	m.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, m.runtime); err == nil {
		m.compiled, err = m.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.NumCPU()), b)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sim: %w", err), m.Close(ctx))
	}
	return m, nil
}

// Close frees the module; nothing may run in it any more.
func (m *Module) Close(ctx context.Context) error {
	err := m.runtime.Close(ctx)
	if m.cache != nil {
		err = errors.Join(err, m.cache.Close(ctx))
	}
	return err
}
