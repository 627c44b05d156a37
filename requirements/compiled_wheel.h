/* Included before all else that `make compiled` compiles.
 *
 * Where a slice of bytes ends before it begins, mypyc 2.4 asks for a negative number of bytes, which is an error; Python
 * gives none. Not so here. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PyBytes_FromStringAndSize(bytes, size) PyBytes_FromStringAndSize(bytes, Py_MAX(size, 0))
#define PyByteArray_FromStringAndSize(bytes, size) PyByteArray_FromStringAndSize(bytes, Py_MAX(size, 0))
