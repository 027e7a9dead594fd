import time,collections
import tests.api.test_openapi as t
import hypothesis
from hypothesis import given, settings, Phase, HealthCheck
from schemathesis import GenerationMode
import pytest
N=collections.Counter()
def test_x(app):
    import schemathesis
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    ops=[f.ok() for f in schema.get_all_operations()]
    out=[]
    for op in ops:
        for mode in GenerationMode:
            calls=0; draws=0
            st=op.as_strategy(generation_mode=mode)
            a=time.process_time()
            orig=st
            import hypothesis.core as hc
            cnt=[0]
            oe=hc.StateForActualGivenExecution.execute_once
            def eo(self,*a,**k):
                cnt[0]+=1; return oe(self,*a,**k)
            hc.StateForActualGivenExecution.execute_once=eo
            n=[0]
            @given(case=st)
            @settings(max_examples=15,derandomize=True,deadline=None,database=None,phases=(Phase.generate,),suppress_health_check=list(HealthCheck))
            def check(case): n[0]+=1
            try: check()
            except Exception as e: pass
            hc.StateForActualGivenExecution.execute_once=oe
            out.append((time.process_time()-a,cnt[0],n[0],str(mode),op.method,op.path))
    out.sort(reverse=True)
    print(sum(o[0] for o in out))
    for o in out[:60]: print("%6.2f %5d %4d %s %s %s"%o)
app=t.app
