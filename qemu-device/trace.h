#include "trace/trace-hw_misc_siliflow.h"
